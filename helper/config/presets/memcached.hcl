# memcached with TLS. Its command refresh_certs has it read certificate, key and
# authorities again. Connections go on, and the cache stays.

output "/run/memcached/tls" {
  group    = "memcache"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  # TLS for callers of the own trust domain, and a second port on loopback for the
  # hook.
  command = ["memcached", "-l", "127.0.0.1:11211,notls:127.0.0.1:11212", "-Z", "-o",
  "ssl_chain_cert=/run/memcached/tls/tls.crt,ssl_key=/run/memcached/tls/tls.key,ssl_ca_cert=/run/memcached/tls/ca.crt,ssl_verify_mode=2"]
  user        = "memcache"
  group       = "memcache"
  on_rotation = "none" # the hook tells it
}

hook "memcached" {
  command = ["sh", "-c", "printf 'refresh_certs\\r\\nquit\\r\\n' | socat -t 5 - TCP:127.0.0.1:11212 | grep -q ^OK"]
  timeout = "10s"
  retries = 5 # at the start memcached may not be listening yet

  proof {
    tls        = "127.0.0.1:11211"
    on_failure = ["signal"] # the command once more
  }
}
