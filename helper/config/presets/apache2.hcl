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
  command = ["apache2", "-D", "FOREGROUND"]

  # What Debian's envvars says. Its script apachectl would stand in the way of signals.
  env = {
    APACHE_RUN_USER  = "www-data"
    APACHE_RUN_GROUP = "www-data"
    APACHE_PID_FILE  = "/run/apache2/apache2.pid"
    APACHE_RUN_DIR   = "/run/apache2"
    APACHE_LOCK_DIR  = "/run/apache2"
    APACHE_LOG_DIR   = "/var/log/apache2"
  }

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
