# MariaDB with the SVID as its certificate. SIGHUP flushes logs and privileges,
# but not TLS: that takes the statement FLUSH SSL, which mariadb-admin sends.

output "/run/mysqld/tls" {
  group    = "mysql"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["mariadbd"]
  user        = "mysql"
  group       = "mysql"
  on_rotation = "none" # the hook tells it
}

hook "mariadb" {
  # --wait: at the start, it may take a while until the server listens.
  command = ["mariadb-admin", "--user=root", "--socket=/run/mysqld/mysqld.sock", "--wait=20", "flush-ssl"]
  timeout = "30s"
  retries = 3

  proof {
    tls        = "127.0.0.1:3306"
    starttls   = "mysql"
    timeout    = "10s"
    on_failure = ["signal"] # the command once more; a restart would end every session
  }
}
