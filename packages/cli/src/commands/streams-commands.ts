import { describeSettings } from '@tessera/service';
import type { Command } from 'commander';
import { applyStreamsCommand, planStreamsCommand, type StreamsOptions, streamsSettings } from './streams.js';

/** Adds `streams apply` and `streams plan`, with the settings of NATS as flags. */
export function streamsCommands(streams: Command, signal: AbortSignal): void {
  streams.description("what a model's revision needs on NATS, before its services are there");
  const withSettings = (command: Command): Command => {
    command
      .option('--revision <word>', 'the revision, where the model is not at hand')
      .option('--json', 'the result as JSON', false)
      .option('--config <file>', "YAML file of settings; a service's will do [TESSERA_CONFIG]");
    for (const { flag, description, environment, default: initial } of describeSettings(streamsSettings)) {
      const shown = initial === undefined ? '' : ` (default ${initial})`;
      command.option(`${flag} <value>`, `${description}${shown} [${environment}]`);
    }
    return command;
  };
  withSettings(streams.command('apply'))
    .description('make the streams and the durable consumers, or change them to what the settings say; may be repeated')
    .action((options: StreamsOptions, command: Command) => applyStreamsCommand(settingFlags(command), options, signal));
  withSettings(streams.command('plan'))
    .description('print what apply makes: names, sizes, the memory that NATS needs, and what an autoscaler reads')
    .action((options: StreamsOptions, command: Command) => planStreamsCommand(settingFlags(command), options));
}

/** What was given of the settings, as a service takes it. */
function settingFlags(command: Command): string[] {
  const known = new Set(['--config', ...describeSettings(streamsSettings).map(({ flag }) => flag)]);
  return command.options.flatMap((option) => {
    const value: unknown = command.getOptionValue(option.attributeName());
    return known.has(option.long ?? '') && value !== undefined ? [`${option.long}=${value}`] : [];
  });
}
