# Prosody with the SVID as its certificate. On SIGHUP, which is what "prosodyctl
# reload" sends, it reads its configuration and the files that it names again;
# streams go on.

output "/run/prosody-tls" {
  group    = "prosody"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["prosody", "-F"]
  user        = "prosody"
  group       = "prosody"
  on_rotation = "SIGHUP"

  proof {
    tls         = "127.0.0.1:5222"
    starttls    = "xmpp"
    server_name = "localhost" # the VirtualHost
    timeout     = "10s"
    on_failure  = ["signal"]
  }
}
