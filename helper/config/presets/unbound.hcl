# unbound, a resolver that speaks DNS over TLS and HTTPS. A reload (1.17) reads neither
# certificate nor key again: it is started anew.

output "/run/unbound/tls" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt" # for its clients
  }
}

process {
  command     = ["unbound", "-d", "-p"]
  on_rotation = "restart"

  proof {
    tls     = "127.0.0.1:853"
    timeout = "10s"
  }
}
