# chrony as a server of NTS with the SVID as its certificate, which it reads at its
# start alone. Clients keep their cookies, since chrony writes its own keys down
# (ntsdumpdir), and so a restart goes unnoticed.

output "/run/chrony-tls" {
  group    = "_chrony"
  key_mode = "0640"

  x509_svid {
    cert = "tls.crt"
    key  = "tls.key"
  }
}

process {
  command     = ["chronyd", "-d", "-f", "/etc/chrony/chrony.conf"]
  on_rotation = "restart"
  on          = ["x509"] # clients show no certificate

  proof {
    tls  = "127.0.0.1:4460"
    alpn = ["ntske/1"]
  }
}
