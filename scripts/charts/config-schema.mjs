import { settingJsonSchema } from '@tessera/service';
import { closed } from './schema-words.mjs';

/**
 * The `config` of a service's chart: the nested keys of its settings file, each with the type, the bounds, the default and the
 * meaning that the code has. What the chart itself gives may stand there as anything: a template refuses it with a sentence.
 * @param settings the service's table of settings
 * @param owned settings that the chart gives
 */
export function configSchema(settings, owned) {
  const root = closed(
    'Settings of the service, as docs/configuration.md has them; what is left out is at its default.',
    {},
  );
  for (const [key, setting] of Object.entries(settings)) {
    const path = key.split('.');
    const leaf = path.pop();
    let node = root;
    for (const name of path) {
      node.properties[name] ??= closed(`Settings of ${name}.`, {});
      node = node.properties[name];
    }
    node.properties[leaf] =
      key in owned ? { description: `Given by the chart: ${owned[key]}.` } : settingSchema(key, setting);
  }
  return root;
}

function settingSchema(key, setting) {
  const initial = setting.default === undefined ? {} : { default: setting.default };
  return { ...settingJsonSchema(setting), ...initial, description: `${key}: ${setting.description}` };
}

/**
 * `config: {}` with every setting of the service beneath it in a comment, at its default: those of its own with what they mean.
 * @param shared settings that every service has
 */
export function configComment(settings, owned, shared) {
  const own = Object.keys(settings).filter((key) => !(key in owned) && !(key in shared));
  const all = Object.keys(settings).filter((key) => !(key in owned) && key in shared);
  const tree = new Map();
  for (const key of [...own, ...all]) {
    let node = tree;
    const path = key.split('.');
    for (const name of path.slice(0, -1)) {
      if (!node.has(name)) node.set(name, new Map());
      node = node.get(name);
    }
    node.set(path.at(-1), { ...settings[key], explained: !(key in shared) });
  }
  return ['config: {}', ...treeLines(tree, '  # ')];
}

function treeLines(tree, head) {
  return [...tree].flatMap(([name, node]) => {
    if (node instanceof Map) return [`${head}${name}:`, ...treeLines(node, `${head}  `)];
    const line = `${head}${name}: ${node.default ?? '""'}`;
    return node.explained ? [...wrapped(node.description, `${head}#`), line] : [line];
  });
}

function wrapped(sentence, head) {
  const lines = [];
  let line = head;
  for (const word of sentence.split(' ')) {
    if (line.length + 1 + word.length > 120) {
      lines.push(line);
      line = head;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
