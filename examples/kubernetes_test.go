//go:build linux

package examples_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// asPod does what a kubelet does for svidhelper's container of a pod, and for nginx if
// the pod has it: in namespaces of its own, with a root that is read-only, an empty
// volume that any user can write in, the ConfigMap laid out as kubelets do, the user
// of the manifest and no rights. Then it changes the ConfigMap.
const asPod = `
set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
cp "$PROGRAM" /mnt/svidhelper
mount -t tmpfs none /run
mount -t tmpfs none /tmp
chmod 1777 /tmp
mkdir -p /mnt/etc/up /mnt/etc/work /run/spiffe/certs
mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/etc/up,workdir=/mnt/etc/work /etc
mkdir -p /etc/svidhelper/..old
chmod 777 /run/spiffe/certs
cd /etc/svidhelper
printf '%s' "$HELPER_CONF" >..old/helper.conf
printf '%s' "$NGINX_CONF" >..old/nginx.conf
ln -s ..old ..data
ln -s ..data/helper.conf ..data/nginx.conf .
mount -o remount,bind,ro /
busybox ip link set lo up

/mnt/svidhelper dev -socket /run/agent/api.sock 2>/run/dev.log &
until [ -S /run/agent/api.sock ]; do sleep 0.05; done
chmod 755 /run/agent
chmod 777 /run/agent/api.sock
export SPIFFE_ENDPOINT_SOCKET=unix:///run/agent/api.sock
as() { exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"; }

if [ -z "$PROBE" ]; then
	(eval as $CONTAINER)
	(as /mnt/svidhelper check -config helper.conf)
	exit
fi
(eval as $CONTAINER) &
until (eval as $PROBE); do sleep 0.05; done
[ -z "$SERVER" ] || (eval as $SERVER) &
until (as /mnt/svidhelper check -ready -config helper.conf); do sleep 0.05; done

cp -r ..old ..new
sed -i 's/ca\.crt/authorities.pem/' ..new/helper.conf
ln -s ..new ..tmp
mv -T ..tmp ..data
until [ -e /run/spiffe/certs/authorities.pem ]; do sleep 0.05; done
until (as /mnt/svidhelper check -ready -config helper.conf); do sleep 0.05; done
(as /mnt/svidhelper check -config helper.conf)
`

// TestKubernetesPods runs what the manifests have of svidhelper: its configuration, its
// arguments, its startup probe. That the API server takes the manifests is tested in
// .ci/kubernetes.
func TestKubernetesPods(t *testing.T) {
	for _, program := range []string{"unshare", "setpriv", "busybox", "nginx"} {
		need(t, program)
	}
	needRoot(t, "the namespaces are root's")
	manifests, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "kind: ConfigMap") {
			t.Run(filepath.Base(name), func(t *testing.T) { runPod(t, string(text)) })
		}
	}
}

func runPod(t *testing.T, manifest string) {
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--net", "--mount-proc", "--kill-child", "bash", "-c", asPod)
	cmd.Env = append(os.Environ(), "PROGRAM="+svidhelper,
		"HELPER_CONF="+inConfigMap(manifest, "helper.conf"),
		"NGINX_CONF="+inConfigMap(manifest, "nginx.conf"),
		"CONTAINER=/mnt/svidhelper "+commandOf(t, manifest, `args: (\["(?:run|fetch)".*\])`),
		"PROBE="+commandOf(t, manifest, `startupProbe:.*\n +exec: \{ command: (\[.*\]) \}`),
		"SERVER="+commandOf(t, manifest, `command: (\["nginx".*\])`))
	p := start(t, cmd)
	select {
	case <-p.done:
	case <-time.After(2 * patience):
		t.Fatal("the pod does not become ready")
	}
	if state := cmd.ProcessState; !state.Success() {
		t.Fatalf("the pod ends with %v", state)
	}
	said := p.out.String()
	if !strings.Contains(said, "spiffe://example.org/workload") || !strings.HasSuffix(said, "usable\n") {
		t.Errorf("the files cannot be used:\n%s", said)
	}
	if strings.Contains(manifest, "proof {") && !strings.Contains(said, "rotation proven") {
		t.Errorf("nginx is not proven to serve the certificate:\n%s", said)
	}
}

// inConfigMap is the text of a key, "" if there is none.
func inConfigMap(manifest, key string) string {
	block := regexp.MustCompile(`\n  ` + regexp.QuoteMeta(key) + `: \|\n((?:    .*\n|\n)+)`).FindStringSubmatch(manifest)
	if block == nil {
		return ""
	}
	return regexp.MustCompile(`(?m)^    `).ReplaceAllString(block[1], "")
}

// commandOf is the list that a pattern finds, quoted for a shell, "" if there is none.
func commandOf(t *testing.T, manifest, pattern string) string {
	t.Helper()
	list := regexp.MustCompile(pattern).FindStringSubmatch(manifest)
	if list == nil {
		return ""
	}
	var words []string
	if err := json.Unmarshal([]byte(list[1]), &words); err != nil {
		t.Fatal(err)
	}
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Replace(strings.Join(words, " "), "'/svidhelper'", "/mnt/svidhelper", 1)
}
