# Postfix with the SVID as its certificate. "postfix reload" ends each of its
# processes once that has no session; the next ones read the files again.

output "/run/postfix-tls" {
  x509_svid {
    combined = "tls.pem" # Postfix wants the key first; it reads it as root
    bundle   = "ca.crt"
  }
}

process {
  command     = ["postfix", "start-fg"]
  on_rotation = "none" # a shell stands before its master; the hook tells it
}

hook "postfix" {
  command = ["postfix", "reload"]
  timeout = "10s"
  retries = 5 # at the start Postfix may not be running yet

  proof {
    tls        = "127.0.0.1:25"
    starttls   = "smtp"
    on_failure = ["signal"] # the command once more
  }
}
