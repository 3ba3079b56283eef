import { ResponderBuilder, ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder } from '@grpc/grpc-js';

/** Internal metadata from the interceptor to the middleware: the caller's deadline in Unix ms on this host's clock. */
export const deadlineHeader = 'tessera-internal-deadline-ms';

/** gRPC hides the caller's deadline from middleware; this hands it on, and drops what a caller puts there itself. */
export const passDeadlineOn: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(
    call,
    new ResponderBuilder()
      .withStart((start) =>
        start(
          new ServerListenerBuilder()
            .withOnReceiveMetadata((metadata, next) => {
              const deadlineMs = Number(call.getDeadline());
              metadata.remove(deadlineHeader);
              if (Number.isFinite(deadlineMs)) metadata.set(deadlineHeader, String(deadlineMs));
              next(metadata);
            })
            .build(),
        ),
      )
      .build(),
  );
