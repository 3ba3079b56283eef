/**
 * ONNX Runtime's published builds report to their maker and keep a device id under the user's home, unless this variable
 * is set before the library starts. A server must not call out on its own. Import this before onnxruntime-node, and on
 * the main thread: a worker's `process.env` is a copy that native code does not see.
 */
process.env.ORT_DISABLE_TELEMETRY = '1';
