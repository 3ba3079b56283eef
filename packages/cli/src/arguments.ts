import { InvalidArgumentError } from 'commander';

/** Of an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** The name of an object of Kubernetes. */
export function objectName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError('It must be 1 to 63 small letters, digits and -, with no - at either end.');
  }
  return text;
}

export function objectLabel(text: string, earlier: Readonly<Record<string, string>>): Record<string, string> {
  const [, key, value] = /^([A-Za-z0-9][-._/A-Za-z0-9]*)=([-._A-Za-z0-9]{0,63})$/.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError('Say it as key=value.');
  return { ...earlier, [key]: value };
}
