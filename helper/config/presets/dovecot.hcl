# Dovecot with the SVID as its certificate, for IMAP and POP3. On SIGHUP, which is
# what "doveadm reload" sends, it reads its configuration and the files that it
# names again; sessions go on.

output "/run/dovecot-tls" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key" # Dovecot reads it as root
    bundle = "ca.crt"
  }
}

process {
  command     = ["dovecot", "-F"]
  on_rotation = "SIGHUP"

  proof {
    tls        = "127.0.0.1:993"
    timeout    = "10s"
    on_failure = ["signal"]
  }
}
