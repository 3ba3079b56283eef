# One stage's part of a model as an image for image volumes: nothing but its files, at the root. The context is the folder that
# `tessera bundle extract` wrote; deploy/images/model.sh does both.
FROM scratch
ARG NAME=unknown
ARG STAGE=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="${NAME}-${STAGE}" \
      org.opencontainers.image.description="The ${STAGE}'s part of the model ${NAME}" \
      org.opencontainers.image.version="${REVISION}"
COPY . /
