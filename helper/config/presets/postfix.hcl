# Postfix with the SVID as its certificate. At SIGHUP its master ends each of its
# processes once that has no session; the next ones read the files again. The command
# is the master, since "postfix start-fg" is a shell, which leaves it behind.

output "/run/postfix-tls" {
  x509_svid {
    combined = "tls.pem" # Postfix wants the key first; it reads it as root
    bundle   = "ca.crt"
  }
}

process {
  command     = ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d"] # -d: in our session
  on_rotation = "SIGHUP"

  proof {
    tls        = "127.0.0.1:25"
    starttls   = "smtp"
    on_failure = ["signal"]
  }
}
