# The part of /etc/vault.d/vault.hcl that is about TLS.
listener "tcp" {
  address       = "127.0.0.1:8200"
  tls_cert_file = "/run/vault-tls/tls.crt"
  tls_key_file  = "/run/vault-tls/tls.key"

  # Callers show an SVID of the own trust domain, and log in as before. Read at the
  # start alone.
  tls_client_ca_file                 = "/run/vault-tls/ca.crt"
  tls_require_and_verify_client_cert = true
}

api_addr = "https://localhost:8200"
