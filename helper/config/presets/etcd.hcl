# etcd with TLS. It reads certificate and key at each handshake, so that nobody has
# to tell it of them. The authorities it reads at its start alone.

output "/run/etcd/tls" {
  group    = "etcd"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["etcd", "--config-file", "/etc/etcd/etcd.conf.yml"]
  user        = "etcd"
  group       = "etcd"
  on          = ["bundle"] # every few hours to months; clients connect again
  on_rotation = "restart"
}

hook "etcd" {
  on = ["x509"] # several times a day; etcd knows by itself

  # Asked with the SVID: does etcd let a client in?
  command = ["etcdctl", "--endpoints", "https://localhost:2379",
    "--cert", "/run/etcd/tls/tls.crt", "--key", "/run/etcd/tls/tls.key", "--cacert", "/run/etcd/tls/ca.crt",
    "endpoint", "health"]
  timeout = "30s"
  retries = 5 # at the start etcd may not be listening yet

  proof {
    tls = "127.0.0.1:2379"
  }
}
