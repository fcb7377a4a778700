-- For /etc/prosody/conf.d: TLS with the SVID, for clients with an SVID of the own
-- trust domain.
VirtualHost "localhost"

c2s_require_encryption = true
ssl = {
  certificate = "/run/prosody-tls/tls.crt";
  key = "/run/prosody-tls/tls.key";
  cafile = "/run/prosody-tls/ca.crt";
}
c2s_ssl = {
  verify = { "peer", "fail_if_no_peer_cert" };
}
