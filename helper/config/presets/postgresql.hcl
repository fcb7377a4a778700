# PostgreSQL with ssl = on and the SVID as its certificate. The postmaster reads
# the files again on SIGHUP; sessions go on. Run svidhelper as the user that
# owns the data directory.

output "/run/postgresql/tls" {
  key_mode = "0600" # PostgreSQL refuses a key that others can read

  x509_svid {
    cert   = "server.crt"
    key    = "server.key"
    bundle = "root.crt"
  }
}

process {
  command     = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/etc/postgresql/15/main"]
  on_rotation = "SIGHUP"

  # SIGTERM waits for every client to leave; SIGINT ends their transactions
  # and stops.
  stop_signal  = "SIGINT"
  stop_timeout = "60s"

  proof {
    tls        = "127.0.0.1:5432"
    starttls   = "postgres"
    timeout    = "10s"
    on_failure = ["signal"] # a restart would end every session
  }
}
