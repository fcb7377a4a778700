# PgBouncer with TLS towards its clients and towards PostgreSQL. On SIGHUP it reads
# the files again. Connections go on.

output "/run/pgbouncer/tls" {
  owner    = "postgres"
  group    = "postgres"
  key_mode = "0600"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
  user        = "postgres"
  group       = "postgres"
  on_rotation = "SIGHUP"

  # SIGTERM ends every connection; SIGINT waits until they are idle.
  stop_signal  = "SIGINT"
  stop_timeout = "60s"

  proof {
    tls        = "127.0.0.1:6432"
    starttls   = "postgres"
    timeout    = "10s"
    on_failure = ["signal"] # a restart would end every connection
  }
}
