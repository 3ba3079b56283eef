import { create, toBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

const file = 'grpc/health/v1/health.proto';
const statuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/**
 * The FileDescriptorSet of grpc.health.v1, from github.com/grpc/grpc-proto. It is no part of proto/, and no library
 * ships its descriptor; with it, `grpcurl … grpc.health.v1.Health/Check` works by reflection.
 */
export function healthDescriptor(): Uint8Array {
  const call = { inputType: '.grpc.health.v1.HealthCheckRequest', outputType: '.grpc.health.v1.HealthCheckResponse' };
  return toBinary(
    FileDescriptorSetSchema,
    create(FileDescriptorSetSchema, {
      file: [
        {
          name: file,
          package: 'grpc.health.v1',
          syntax: 'proto3',
          messageType: [request(), response()],
          service: [
            {
              name: 'Health',
              method: [
                { name: 'Check', ...call },
                { name: 'Watch', ...call, serverStreaming: true },
              ],
            },
          ],
        },
      ],
    }),
  );
}

function request(): DescriptorProto {
  return create(DescriptorProtoSchema, {
    name: 'HealthCheckRequest',
    field: [{ name: 'service', jsonName: 'service', number: 1, label: Label.OPTIONAL, type: Type.STRING }],
  });
}

function response(): DescriptorProto {
  return create(DescriptorProtoSchema, {
    name: 'HealthCheckResponse',
    field: [
      {
        name: 'status',
        jsonName: 'status',
        number: 1,
        label: Label.OPTIONAL,
        type: Type.ENUM,
        typeName: '.grpc.health.v1.HealthCheckResponse.ServingStatus',
      },
    ],
    enumType: [{ name: 'ServingStatus', value: statuses.map((name, number) => ({ name, number })) }],
  });
}
