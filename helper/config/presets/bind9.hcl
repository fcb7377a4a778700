# BIND 9 in the foreground, which speaks DNS over TLS and HTTPS. rndc makes it read its
# configuration, certificate and authorities again. It takes signals without a handler
# for them (sigwait), so that svidhelper would not send it SIGHUP.

output "/run/named/tls" {
  group    = "bind" # named reads them again after it has left root
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["named", "-f", "-u", "bind"]
  on_rotation = "none" # the hook tells it
}

hook "bind9" {
  command = ["rndc", "reconfig"]
  timeout = "10s"
  retries = 5 # at the start named may not be listening yet

  proof {
    tls        = "127.0.0.1:853"
    timeout    = "10s"
    on_failure = ["signal"] # the command once more
  }
}
