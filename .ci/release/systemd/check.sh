# What a machine with systemd does with the package: boot.sh runs it there, as root.
trap 'status=$?; [ $status = 0 ] || journalctl --no-pager | grep -v /dev/tty; exit $status' EXIT
is() { [ "$(systemctl show -P "$2" "$1")" = "$3" ]; }
not() { if "$@"; then return 1; fi; } # the shell goes on after a ! that does not hold
await() { until "$@"; do sleep 0.1; done; } # the test has a time limit
serial() { openssl x509 -noout -serial -in "$1"; }
served() { [ "$(openssl s_client -connect localhost:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial)" = "$1" ]; }
changed() { [ "$(serial "$1")" != "$2" ]; }
rotate() { systemctl kill -s USR1 agent; }
unit() { mkdir -p "$(dirname "/etc/systemd/system/$1")" && cat >"/etc/systemd/system/$1" && systemctl daemon-reload; }
dpkg() { command dpkg --no-triggers "$@"; } # an index of the manuals takes its time
cd /

# The package starts nothing.
dpkg -i /mnt/svidhelper.deb
is svidhelper ActiveState inactive
is svidhelper UnitFileState disabled

# A unit without a configuration says so.
not systemctl start svidhelper@nothing
await sh -c "journalctl --no-pager -u svidhelper@nothing | grep '/etc/svidhelper/nothing.conf'"
systemctl stop svidhelper@nothing

# The commands of the README, with an agent where SPIRE has it.
unit agent.service <<'U'
[Service]
ExecStart=/usr/bin/svidhelper dev -dns localhost -socket /tmp/spire-agent/public/api.sock -socket-mode 0666
U
systemctl start agent
await test -S /tmp/spire-agent/public/api.sock
(cd /usr/share/doc/svidhelper/examples/systemd && bash -ex /mnt/commands)
is haproxy ActiveState inactive
is svidhelper@haproxy Result success

# haproxy brings svidhelper along, and follows a rotation; so it does after one that
# came while svidhelper was down, and is not restarted for it.
file=/run/svidhelper/haproxy/haproxy.pem
systemctl start haproxy
is svidhelper@haproxy ActiveState active
pid=$(systemctl show -P MainPID haproxy)
was=$(serial $file)
rotate
await changed $file "$was"
await served "$(serial $file)"
was=$(serial $file)
systemctl stop svidhelper@haproxy
rotate
systemctl start svidhelper@haproxy
await changed $file "$was"
await served "$(serial $file)"
is haproxy MainPID "$pid"

# nginx does the same.
systemctl stop haproxy svidhelper@haproxy
cd /usr/share/doc/svidhelper/examples
install -m 0644 systemd/nginx.conf /etc/svidhelper/nginx.conf
sed 's|/run/nginx/tls/|/run/svidhelper/nginx/|g' nginx/nginx.conf >/etc/nginx/nginx.conf
cd /
sed 's/haproxy/nginx/g' /etc/systemd/system/haproxy.service.d/svidhelper.conf | unit nginx.service.d/svidhelper.conf
file=/run/svidhelper/nginx/tls.crt
systemctl start nginx
was=$(serial $file)
rotate
await changed $file "$was"
await served "$(serial $file)"

# Another unit is reloaded by a hook at a rotation, and with svidhelper when that is
# reloaded by hand. Its credentials stay those of its start.
unit web.service <<'U'
[Unit]
Wants=svidhelper@web.service
After=svidhelper@web.service
[Service]
LoadCredential=cert:/run/svidhelper/web/svid.pem
ExecStart=sleep infinity
ExecReload=sh -c 'echo reload >>/tmp/reloads'
U
unit svidhelper@web.service.d/web.conf <<'U'
[Unit]
PropagatesReloadTo=web.service
U
cp /mnt/rule /etc/polkit-1/rules.d/50-svidhelper.rules
{ printf 'output "/run/svidhelper/web" {\n  x509_svid {}\n}\n'; cat /mnt/hook; } >/etc/svidhelper/web.conf
file=/run/svidhelper/web/svid.pem
systemctl start web
await test -s /tmp/reloads
rm /tmp/reloads
was=$(serial /run/credentials/web.service/cert)
rotate
await test -s /tmp/reloads
changed $file "$was"
not changed /run/credentials/web.service/cert "$was"
rm /tmp/reloads
sed -i 's|x509_svid {}|&\n  jwt_bundle { file = "jwks.json" }|' /etc/svidhelper/web.conf
systemctl reload svidhelper@web # which has the configuration read again, too
await test -s /tmp/reloads
await test -s /run/svidhelper/web/jwks.json
systemctl restart web
changed /run/credentials/web.service/cert "$was"

# An agent that comes last is waited for, and a svidhelper that hangs is restarted.
unit svidhelper.service.d/short.conf <<'U'
[Unit]
StartLimitIntervalSec=0
[Service]
Environment=SPIFFE_ENDPOINT_SOCKET=unix:///run/late/api.sock
TimeoutStartSec=1s
WatchdogSec=2s
TimeoutAbortSec=1s
U
unit late.service <<'U'
[Service]
ExecStart=/usr/bin/svidhelper dev -socket /run/late/api.sock -socket-mode 0666
U
systemctl start --no-block svidhelper
sleep 2 # longer than the unit's time to start
is svidhelper ActiveState activating
systemctl start late
await is svidhelper ActiveState active
systemctl kill -s STOP svidhelper || not is svidhelper NRestarts 0
while is svidhelper NRestarts 0; do sleep 0.1; done
await is svidhelper ActiveState active

# An upgrade disturbs nothing, a removal ends all of it, a purge leaves no key.
systemctl enable svidhelper@web
pid=$(systemctl show -P MainPID svidhelper@web)
dpkg -i /mnt/svidhelper.deb
is svidhelper@web MainPID "$pid"
dpkg -r svidhelper
not systemctl is-active svidhelper svidhelper@web
test ! -L /etc/systemd/system/multi-user.target.wants/svidhelper@web.service
test -f /run/svidhelper/web/svid.pem # for those who read it
dpkg -P svidhelper
test ! -e /run/svidhelper
