# Apache httpd in the foreground. SIGUSR1 is its graceful restart: it reads its whole
# configuration again, starts new workers, and lets the old ones finish.

output "/run/apache2/tls" {
  x509_svid {
    # Key and chain in one file: httpd ends when it finds a certificate and the key of
    # another one, and from one file it reads both.
    combined = "apache2.pem"
    bundle   = "ca.crt"
  }
}

process {
  # Debian's configuration needs what envvars says, and directories that only its
  # script makes; that script would stand in the way of signals.
  command = ["sh", "-c", ". /etc/apache2/envvars && mkdir -p $APACHE_RUN_DIR $APACHE_LOCK_DIR && exec apache2 -D FOREGROUND"]

  on_rotation = "SIGUSR1"

  # SIGTERM cuts requests off, SIGWINCH lets them finish.
  stop_signal  = "SIGWINCH"
  stop_timeout = "30s"

  proof {
    tls        = "127.0.0.1:443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
