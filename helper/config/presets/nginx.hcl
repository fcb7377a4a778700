# nginx in the foreground, with its certificate from the Workload API. SIGHUP
# makes the master start new workers with the new certificate; the old ones
# finish their requests.

output "/run/nginx/tls" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["nginx", "-g", "daemon off;"]
  on_rotation = "SIGHUP"

  # SIGTERM would cut requests off: SIGQUIT lets them finish. A master that does
  # not follow it is killed in the end, so that a restart is one.
  stop_signal  = "SIGQUIT"
  stop_timeout = "30s"

  proof {
    tls        = "127.0.0.1:8443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
