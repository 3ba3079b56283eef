"""Asks about a picture from Python; the contract comes from the server (reflection), so nothing is generated.

    pip install grpcio grpcio-reflection
    python3 examples/python/ask.py PICTURE QUESTION
"""

import os
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

picture = sys.argv[1] if len(sys.argv) > 1 else "models/demo/samples/apple.png"
question = sys.argv[2] if len(sys.argv) > 2 else "What is this?"

with grpc.insecure_channel(os.environ.get("TESSERA_ADDRESS", "127.0.0.1:7070")) as channel:
    service = DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindServiceByName("tessera.v1.ChatService")
    method = service.FindMethodByName("Respond")
    request_class, response_class = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    respond = channel.unary_stream(
        f"/{service.full_name}/{method.name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )

    request = request_class()
    with open(picture, "rb") as file:
        request.start.media.add(name="picture", inline=file.read())
    # 2 is ROLE_USER.
    message = request.start.messages.add(role=2)
    message.content.add(media="picture")
    message.content.add(text=question)

    try:
        for response in respond(request, timeout=60):
            print(response.event.text_delta.text, end="", flush=True)
        print()
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
