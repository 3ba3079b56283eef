# shellcheck shell=bash
# Certificates and kubeconfigs, for control.sh and those after it.
PKI=$RUN/pki

extensions() { printf '[req]\ndistinguished_name=d\nx509_extensions=x\n[d]\n[x]\n%s\n' "$1"; }

# authority NAME: a CA.
authority() {
  openssl req -x509 -config <(extensions $'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,digitalSignature\nsubjectKeyIdentifier=hash') \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=$1" -keyout "$PKI/$1.key" -out "$PKI/$1.crt" 2>/dev/null
}

# certificate CA NAME SUBJECT [NAMES]: signed by it, of a server and of a client.
certificate() {
  openssl req -x509 -CA "$PKI/$1.crt" -CAkey "$PKI/$1.key" \
    -config <(extensions $'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName='"${4:-DNS:none}") \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "$3" -keyout "$PKI/$2.key" -out "$PKI/$2.crt" 2>/dev/null
}

# serving NAME DIR: the certificate of a controller beside the control plane, with its CA, in files as controllers look for them.
serving() {
  mkdir -p "$2"
  certificate ca "$1" "/CN=$1" "DNS:localhost,IP:127.0.0.1"
  cp "$PKI/$1.crt" "$2/tls.crt"
  cp "$PKI/$1.key" "$2/tls.key"
  cp "$PKI/ca.crt" "$2/ca.crt"
}

# kubeconfig NAME CERTIFICATE: $RUN/control/NAME.kubeconfig, for whoever the certificate names.
kubeconfig() {
  cat >"$RUN/control/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: k
contexts: [{name: k, context: {cluster: k, user: k}}]
clusters: [{name: k, cluster: {server: "https://$CONTROL:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: k, user: {client-certificate: $PKI/$2.crt, client-key: $PKI/$2.key}}]
END
}
