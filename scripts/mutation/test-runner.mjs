// Runs test files one at a time for the process that started it: Vitest stays loaded, so that a file costs a process and its
// modules, and no more. Told { file, env }, it answers { passed, ms }; with `loads` it runs none of the file's tests, and has
// all read and translated that they import, which in a new process takes longer than the tests.
import { createVitest } from 'vitest/node';

const quiet = { onInit() {} };
const vitest = await createVitest('test', {
  watch: false,
  // Each file to its end: what a first failure calls off is called off late, and now and then that was the next run.
  bail: 0,
  maxWorkers: 1,
  cache: false,
  reporters: [quiet],
  silent: true,
});
await vitest.standalone();
process.on('message', async ({ file, env, loads }) => {
  // Workers take what this process has as they start.
  Object.assign(process.env, env);
  for (const name of Object.keys(env)) if (env[name] === null) delete process.env[name];
  if (loads) vitest.setGlobalTestNamePattern(/^no test has this name$/);
  else vitest.resetGlobalTestNamePattern();
  const startedAt = performance.now();
  const specifications = vitest.getModuleSpecifications(file);
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
  // Vitest also tells of the files that ran before, as they ended then.
  const wanted = new Set(specifications.map(({ moduleId }) => moduleId));
  const own = testModules.filter(({ moduleId }) => wanted.has(moduleId));
  const passed = unhandledErrors.length === 0 && own.length > 0 && own.every((module) => module.ok() === true);
  process.send({ passed, ms: performance.now() - startedAt });
});
process.on('disconnect', () => process.exit(0));
process.send('ready');
