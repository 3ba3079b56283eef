/** A method as metrics name it. @param path such as `/tessera.v1.LlmService/Generate` */
export function methodLabels(path: string): { readonly service: string; readonly method: string } {
  const [, service = '', method = ''] = path.split('/');
  return { service, method };
}
