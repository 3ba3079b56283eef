/** `grpc.maxMessageBytes` -> `grpc-max-message-bytes` */
function kebab(key: string): string {
  return key.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `grpc.maxMessageBytes` -> `--grpc-max-message-bytes` */
export function flagName(key: string): string {
  return `--${kebab(key)}`;
}

/** `grpc.maxMessageBytes` -> `TESSERA_GRPC_MAX_MESSAGE_BYTES` */
export function environmentName(key: string): string {
  return `TESSERA_${kebab(key).replaceAll('-', '_').toUpperCase()}`;
}
