# Mosquitto 2.0 with the SVID as its certificate. On SIGHUP it reads certificate
# and key again, and no client is disconnected, but not cafile: for new authorities
# it has to be started anew.

output "/run/mosquitto/tls" {
  group    = "mosquitto"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"]
  user        = "mosquitto"
  group       = "mosquitto"
  on          = ["bundle"] # every few hours to months; clients connect again
  on_rotation = "restart"
}

hook "mosquitto" {
  on       = ["x509"] # several times a day; clients do not notice
  pid_file = "/run/mosquitto/mosquitto.pid"
  signal   = "SIGHUP"

  proof {
    tls        = "127.0.0.1:8883"
    timeout    = "10s"
    on_failure = ["signal"]
  }
}
