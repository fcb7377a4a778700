# Tomcat 10.1. No signal makes it read its certificate again: a listener of its own
# does, as server.xml says.

output "/run/tomcat10/tls" {
  group    = "tomcat"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt" # for its clients

    truststore {
      file       = "truststore.p12" # Java reads no authorities in PEM
      format     = "pkcs12"
      encryption = "none"
    }
  }
}

process {
  command = ["/usr/share/tomcat10/bin/catalina.sh", "run"]
  env = {
    CATALINA_HOME   = "/usr/share/tomcat10"
    CATALINA_BASE   = "/var/lib/tomcat10"
    CATALINA_TMPDIR = "/tmp"
  }
  user        = "tomcat"
  group       = "tomcat"
  on_rotation = "none" # its listener looks every 10 seconds

  proof {
    tls     = "127.0.0.1:8443"
    timeout = "60s"
  }
}
