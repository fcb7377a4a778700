# Prometheus reads certificate, key and authorities again for each connection, so there
# is nothing to tell it. Its exporters do the same, with the same web.config.file.

output "/run/prometheus/tls" {
  group    = "prometheus"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus/metrics2", "--web.config.file=/etc/prometheus/web.yml"]
  user        = "prometheus"
  group       = "prometheus"
  on_rotation = "none"

  proof {
    tls     = "127.0.0.1:9090"
    timeout = "10s"
  }
}
