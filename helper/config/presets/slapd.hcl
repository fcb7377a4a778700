# OpenLDAP's slapd with the SVID as its certificate. It is started anew: a change of
# its settings in cn=config makes it read its files again, too, but slapd 2.5 has
# crashed at that when a client was in a handshake.

output "/run/slapd-tls" {
  group    = "openldap"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["slapd", "-h", "ldap:/// ldaps:/// ldapi:///", "-u", "openldap", "-g", "openldap", "-F", "/etc/ldap/slapd.d", "-d", "0"]
  on_rotation = "restart"

  proof {
    tls = "127.0.0.1:636"
  }
}
