export const echoPath = '/tessera.bench.Echo/Echo';
