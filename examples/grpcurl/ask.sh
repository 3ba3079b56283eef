#!/bin/sh
# Asks about a picture with grpcurl, which learns the contract from the server (reflection).
#   sh examples/grpcurl/ask.sh PICTURE QUESTION
# In JSON a picture is base64, and the whole message may have 4 MiB; larger ones go in parts, by the method Chat.
set -eu
picture=${1:-models/demo/samples/apple.png}
# Quotes and backslashes as JSON writes them.
question=$(printf '%s' "${2:-What is this?}" | sed 's/[\\"]/\\&/g')

grpcurl -plaintext -d @ "${TESSERA_ADDRESS:-127.0.0.1:7070}" tessera.v1.ChatService/Respond <<JSON
{
  "start": {
    "messages": [{ "role": "ROLE_USER", "content": [{ "media": "picture" }, { "text": "$question" }] }],
    "media": [{ "name": "picture", "inline": "$(base64 <"$picture" | tr -d '\n')" }]
  }
}
JSON
