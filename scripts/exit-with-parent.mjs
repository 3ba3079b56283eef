// Loaded into a process that must not outlive the one that started it with an IPC channel, not even when that is killed.
if (process.connected) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel alone is no reason to go on.
  process.channel.unref();
} else if (process.send !== undefined) {
  // It was gone before this process had begun.
  process.exit(1);
}
