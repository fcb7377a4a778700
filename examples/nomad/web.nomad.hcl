# A server with an identity: one task fetches the files before it starts, another
# keeps them fresh beside it.
job "web" {
  type = "service"

  group "web" {
    network {
      port "https" {
        to = 8443
      }
    }

    # Before the server: all the files, or the allocation does not start.
    task "identity" {
      driver = "exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "svidhelper"
        args    = ["fetch", "-config", "local/helper.conf", "-timeout", "2m"]
      }

      template {
        destination = "local/helper.conf"
        data        = file("helper.conf")
      }
    }

    # Beside it, for as long as it runs.
    task "rotation" {
      driver = "exec"

      lifecycle {
        hook    = "poststart"
        sidecar = true
      }

      config {
        command = "svidhelper"
        args    = ["run", "-config", "local/helper.conf"]
      }

      template {
        destination = "local/helper.conf"
        data        = file("helper.conf")
      }

      resources {
        cpu    = 20
        memory = 32
      }
    }

    task "web" {
      driver = "exec"

      config {
        command = "my-server"
        args    = ["-cert", "${NOMAD_ALLOC_DIR}/tls/tls.crt", "-key", "${NOMAD_ALLOC_DIR}/tls/tls.key"]
      }
    }
  }
}
