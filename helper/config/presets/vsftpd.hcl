# vsftpd with the SVID as its certificate. It reads the files at its start alone, and
# is started anew: that ends its sessions.

output "/run/vsftpd-tls" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key" # vsftpd reads it as root
    bundle = "ca.crt"
  }
}

process {
  command     = ["vsftpd", "/etc/vsftpd.conf"]
  on_rotation = "restart"

  proof {
    tls      = "127.0.0.1:21"
    starttls = "ftp"
  }
}
