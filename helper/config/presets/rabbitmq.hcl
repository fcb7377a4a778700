# RabbitMQ with TLS. Erlang keeps what it has read of certificate, key and authorities,
# and looks for new files each two minutes; clear_pem_cache makes it look now.
# Connections go on.

output "/run/rabbitmq-tls" {
  group    = "rabbitmq"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
  user        = "rabbitmq"
  group       = "rabbitmq"
  env         = { HOME = "/var/lib/rabbitmq" }
  on_rotation = "none" # the hook tells it
}

hook "rabbitmq" {
  command = ["rabbitmqctl", "eval", "ssl:clear_pem_cache()."]
  timeout = "30s"
  retries = 10 # at the start it takes a while until RabbitMQ listens

  proof {
    tls        = "127.0.0.1:5671"
    on_failure = ["signal"] # the command once more
  }
}
