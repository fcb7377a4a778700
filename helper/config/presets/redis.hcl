# Redis 7 with TLS. No signal makes Redis read its certificate again: CONFIG SET
# does, and takes key, certificate and authorities in one step, so that a pair
# that does not match is refused as a whole and the old one stays.

output "/run/redis/tls" {
  group    = "redis"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["redis-server", "/etc/redis/redis.conf"]
  user        = "redis"
  group       = "redis"
  on_rotation = "none" # the hook tells it
}

hook "redis" {
  # Over the socket, which needs no certificate. -e: an error is an error.
  command = ["redis-cli", "-e", "-s", "/run/redis/redis.sock", "CONFIG", "SET",
    "tls-cert-file", "/run/redis/tls/tls.crt",
    "tls-key-file", "/run/redis/tls/tls.key",
    "tls-ca-cert-file", "/run/redis/tls/ca.crt"]
  timeout = "10s"
  retries = 5 # at the start Redis may not be listening yet

  proof {
    tls        = "127.0.0.1:6379"
    on_failure = ["signal"] # the command once more
  }
}
