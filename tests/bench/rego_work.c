#include "rego_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "jose/jose.h"
#include "value/json.h"

#define REFERENCE_VALUES 100000
#define USERS 10000
#define ROLES 50
#define RULES 1000
#define DIGESTS 2048
#define REGEXES 100
#define CONTAINERS 10
#define VARIABLES 20

struct maker {
    struct arena *a;
    const char *dir;
    struct rego_work *rows;
    size_t n;
};

#define ROWS_MAX 16
#define TEXT_MAX (64 << 20)

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s failed\n", what);
        exit(1);
    }
}
#define MUST(cond) must((cond), #cond)

/* Texts are written with ' for ", which stays readable in C. */
static struct str done(struct maker *m, struct buf *b)
{
    MUST(buf_status(b) == OK);
    struct str s = arena_str(m->a, buf_str(b));
    buf_done(b);
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\'')
            ((char *)(uintptr_t)s.ptr)[i] = '"';
    return s;
}

/* regorus refuses lines of more than 1,024 characters: one for each object. */
static void add_lines(struct buf *out, struct buf *json)
{
    struct str s = buf_str(json);
    for (size_t i = 0; i < s.len; i++) {
        buf_add_byte(out, s.ptr[i]);
        if (s.ptr[i] == ',' && i > 0 && (s.ptr[i - 1] == '}' || s.ptr[i - 1] == ']'))
            buf_add_byte(out, '\n');
    }
    buf_add_byte(out, '\n');
    buf_done(json);
}

static struct buf text(void)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    return b;
}

static const char *comma(int i)
{
    return i == 0 ? "" : ",";
}

static struct str module(struct maker *m, const char *name)
{
    CLEANUP(buf_done) struct buf b = text();
    struct str path = arena_format(m->a, "%s/%s.rego", m->dir, name);
    MUST(file_read(path.ptr, &b, NULL) == OK);
    return arena_str(m->a, buf_str(&b));
}

static void add(struct maker *m, struct rego_work row)
{
    MUST(m->n < ROWS_MAX);
    m->rows[m->n++] = row;
}

/* ---- attestation ---- */

static struct str claims(struct maker *m, int pcr11)
{
    struct buf b = text();
    buf_add_format(&b,
                   "{'azsnpvtpm':{'measurement':'%096d','report_data':'%0128d','vmpl':0,"
                   "'policy_abi_major':0,'policy_abi_minor':31,'policy_debug_allowed':false,"
                   "'policy_migrate_ma':false,'policy_single_socket':false,"
                   "'platform_smt_enabled':true,'platform_tsme_enabled':true,"
                   "'reported_tcb_bootloader':4,'reported_tcb_microcode':219,"
                   "'reported_tcb_snp':24,'reported_tcb_tee':0,'tpm':{",
                   7, 9);
    for (int i = 0; i < 24; i++)
        buf_add_format(&b, "%s'pcr%02d':'%064d'", comma(i), i, i == 11 ? pcr11 : i);
    buf_add_cstr(&b, "}},'init_data_claims':{'fs':{'root':'verity','scratch':'encrypted'}}}");
    return done(m, &b);
}

static void add_attestation(struct maker *m)
{
    struct buf b = text();
    buf_add_format(&b,
                   "{'reference':{'snp_launch':['%096d','%096d'],'tcb_bootloader':[3,4],"
                   "'tcb_microcode':[209,219],'tcb_snp':[22,24],'tcb_tee':[0],"
                   "'smt_enabled':[true,false],'tsme_enabled':[true],'abi_major':[0],"
                   "'abi_minor':[31],'file_system':{'root':'verity','scratch':'encrypted'}",
                   6, 7);
    static const int pcrs[] = {3, 8, 9, 11, 12};
    for (size_t i = 0; i < ARRAY_LEN(pcrs); i++)
        buf_add_format(&b, ",'pcr%02d':['%064d']", pcrs[i], pcrs[i]);
    buf_add_cstr(&b, "}}");
    struct rego_work row = {
        .name = "attestation",
        .policy = module(m, "attestation"),
        .path = STR("data.policy.verdict"),
        .input = claims(m, 11),
        .data = done(m, &b),
        .want = STR("{\"configuration\":2,\"executables\":3,\"file-system\":2,\"hardware\":2}"),
    };
    add(m, row);
    row.name = "attestation, denied";
    row.input = claims(m, 99);
    row.want = STR("{\"configuration\":2,\"executables\":33,\"file-system\":2,\"hardware\":2}");
    add(m, row);
}

static void add_resource(struct maker *m)
{
    add(m, (struct rego_work){
               .name = "resource",
               .policy = module(m, "resource"),
               .path = STR("data.policy.allow"),
               .input = STR("{\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\"},"
                            "\"gpu0\":{\"ear.status\":\"affirming\"}}}"),
               .data = STR("{\"resource-path\":\"default/kbsres1/key1\"}"),
               .want = STR("true"),
           });
}

static void add_defaults(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "{'reference':{'snp_launch_measurement':['aa','bb'],'snp_bootloader':[4],"
                     "'snp_microcode':[219],'snp_snp_svn':[24],'snp_tee_svn':[0]");
    for (int i = 0; i < REFERENCE_VALUES; i++)
        buf_add_format(&b, ",'image-%d':['%064d']", i, i);
    buf_add_cstr(&b, "}}");
    add(m, (struct rego_work){
               .name = "100,000 reference values",
               .policy = module(m, "defaults"),
               .path = STR("data.policy.verdict"),
               .input = STR("{\"snp\":{\"measurement\":\"bb\",\"reported_tcb_bootloader\":4,"
                            "\"reported_tcb_microcode\":219,\"reported_tcb_snp\":24,"
                            "\"reported_tcb_tee\":0}}"),
               .data = done(m, &b),
               .want = STR("{\"executables\":3,\"hardware\":2}"),
           });
}

/* ---- general policies ---- */

static void add_permissions(struct buf *b)
{
    buf_add_cstr(b, ",'permissions':{");
    for (int i = 0; i < ROLES; i++) {
        buf_add_format(b, "%s'role%d':[", comma(i), i);
        for (int k = 0; k < 5; k++)
            buf_add_format(b, "%s{'action':'act%d','type':'type%d'}", comma(k), k, (i + k) % 9);
        buf_add_cstr(b, "]");
    }
    buf_add_cstr(b, "}}");
}

static void add_rbac(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "{'bindings':{");
    for (int i = 0; i < USERS; i++)
        buf_add_format(&b, "%s'user%d':['role%d','role%d']", comma(i), i, i % ROLES,
                       (i + 7) % ROLES);
    buf_add_cstr(&b, "}");
    add_permissions(&b);
    add(m, (struct rego_work){
               .name = "10,000 role bindings",
               .policy = module(m, "rbac"),
               .path = STR("data.app.rbac.allow"),
               .input = STR("{\"user\":\"user7777\",\"action\":\"act3\",\"type\":\"type1\"}"),
               .data = done(m, &b),
               .want = STR("true"),
           });
}

static void add_bindings(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "{'bindings':[");
    for (int i = 0; i < USERS; i++)
        buf_add_format(&b, "%s{'user':'user%d','role':'role%d'},{'user':'user%d','role':'role%d'}",
                       comma(i), i, i % ROLES, i, (i + 7) % ROLES);
    buf_add_cstr(&b, "]");
    add_permissions(&b);
    add(m, (struct rego_work){
               .name = "20,000 bindings in a list",
               .policy = module(m, "bindings"),
               .path = STR("data.app.bindings.allow"),
               .input = STR("{\"user\":\"user7777\",\"action\":\"act3\",\"type\":\"type1\"}"),
               .data = done(m, &b),
               .want = STR("true"),
           });
}

static void add_rules(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "package many\n\nimport rego.v1\n\ndefault allow := false\n");
    for (int i = 0; i < RULES; i++)
        buf_add_format(&b,
                       "\nallow if {\n\tinput.method == 'M%d'\n\tinput.user == 'user%d'\n"
                       "\tinput.path == '/object/%d'\n}\n",
                       i % 10, i / 10, i);
    add(m, (struct rego_work){
               .name = "1,000 rules",
               .policy = done(m, &b),
               .path = STR("data.many.allow"),
               .input = STR("{\"method\":\"M7\",\"user\":\"user77\",\"path\":\"/object/777\"}"),
               .want = STR("true"),
           });
}

static void add_membership(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "{'digests':[");
    for (int i = 0; i < DIGESTS; i++)
        buf_add_format(&b, "%s'%064d'", comma(i), i);
    buf_add_cstr(&b, "],'revoked':[]}");
    struct buf input = text();
    buf_add_format(&input, "{'digest':'%064d'}", DIGESTS - 1);
    add(m, (struct rego_work){
               .name = "membership in 2,048",
               .policy = module(m, "membership"),
               .path = STR("data.lists.allow"),
               .input = done(m, &input),
               .data = done(m, &b),
               .want = STR("true"),
           });
}

static void add_regexes(struct maker *m)
{
    struct buf b = text();
    buf_add_cstr(&b, "package patterns\n\nimport rego.v1\n\npatterns := [\n");
    for (int i = 0; i < REGEXES; i++)
        buf_add_format(&b, "\t`^/(api|v%d)/[a-z0-9]+/item-%d(/[a-z]+)*$`,\n", i, i);
    buf_add_cstr(&b, "]\n\nhits := count([p | some p in patterns; regex.match(p, input.path)])\n");
    add(m, (struct rego_work){
               .name = "100 regexes",
               .policy = done(m, &b),
               .path = STR("data.patterns.hits"),
               .input = STR("{\"path\":\"/api/users/item-42/show\"}"),
               .want = STR("1"),
           });
}

static void add_jwt(struct maker *m, const struct privkey *key)
{
    struct buf pem = text();
    struct buf token = text();
    MUST(pubkey_to_pem(privkey_public(key), &pem) == OK);
    MUST(jws_sign(key, STR("ES256"), STR("{\"alg\":\"ES256\",\"typ\":\"JWT\"}"),
                  STR("{\"iss\":\"https://issuer.example\",\"exp\":1767229200,\"sub\":\"job\","
                      "\"role\":\"reader\"}"),
                  &token, NULL) == OK);
    struct buf data = text();
    buf_add_cstr(&data, "{'key':'");
    for (size_t i = 0; i < buf_str(&pem).len; i++) {
        char c = buf_str(&pem).ptr[i];
        if (c == '\n')
            buf_add_cstr(&data, "\\n");
        else
            buf_add_byte(&data, c);
    }
    buf_add_cstr(&data, "'}");
    struct buf input = text();
    buf_add_format(&input, "{'token':'%.*s'}", STR_ARG(buf_str(&token)));
    buf_done(&pem);
    buf_done(&token);
    add(m, (struct rego_work){
               .name = "JWT",
               .policy = module(m, "jwt"),
               .path = STR("data.token.allow"),
               .input = done(m, &input),
               .data = done(m, &data),
               .want = STR("true"),
           });
}

/* ---- containers ---- */

static void kata_variables(struct buf *b, int container, bool wanted)
{
    buf_add_format(b, "['PATH=/usr/local/bin:/usr/bin:/bin','HOSTNAME=%s'",
                   wanted ? "$(sandbox-name)" : "web-0");
    for (int i = 0; i < VARIABLES; i++)
        buf_add_format(b, ",'VARIABLE_%d=value of %d in %d'", i, i, container);
    if (wanted)
        buf_add_cstr(b, ",'POD_IP=$(pod-ip)'");
    else
        buf_add_cstr(b, ",'POD_IP=10.244.1.17','API_SERVICE_HOST=10.96.0.1',"
                        "'API_SERVICE_PORT=443','API_PORT=tcp://10.96.0.1:443',"
                        "'API_PORT_443_TCP_PROTO=tcp'");
    buf_add_cstr(b, "]");
}

static const char kata_caps[] = "'CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_FSETID','CAP_FOWNER',"
                                "'CAP_MKNOD','CAP_NET_RAW','CAP_SETGID','CAP_SETUID',"
                                "'CAP_SETFCAP','CAP_SETPCAP','CAP_NET_BIND_SERVICE',"
                                "'CAP_SYS_CHROOT','CAP_KILL','CAP_AUDIT_WRITE'";

static void kata_process(struct buf *b, int container, bool wanted)
{
    buf_add_format(b,
                   "'Process':{'Cwd':'/','NoNewPrivileges':false,'Terminal':false,"
                   "'User':{'UID':%d,'GID':%d,'AdditionalGids':[%d,10]},"
                   "'Args':['/usr/bin/server-%d','--listen','0.0.0.0:%d','--name','%s'],",
                   1000 + container, 1000 + container, 1000 + container, container,
                   8000 + container, wanted ? "$(sandbox-name)" : "web-0");
    const char *caps = wanted ? "'$(default_caps)'" : kata_caps;
    buf_add_format(b,
                   "'Capabilities':{'Ambient':[],'Bounding':[%s],'Effective':[%s],"
                   "'Inheritable':[],'Permitted':[%s]},'Env':",
                   caps, caps, caps);
    kata_variables(b, container, wanted);
    buf_add_cstr(b, "}");
}

static void kata_mounts(struct buf *b, bool wanted)
{
    static const char *const plain[][3] = {
        {"/proc", "proc", "'nosuid','noexec','nodev'"},
        {"/dev", "tmpfs", "'nosuid','strictatime','mode=755','size=65536k'"},
        {"/dev/pts", "devpts", "'nosuid','noexec','newinstance','ptmxmode=0666','mode=0620'"},
        {"/dev/mqueue", "mqueue", "'nosuid','noexec','nodev'"},
        {"/sys", "sysfs", "'nosuid','noexec','nodev','ro'"},
        {"/sys/fs/cgroup", "cgroup", "'nosuid','noexec','nodev','relatime','ro'"},
    };
    static const char *const bound[] = {"hosts", "hostname", "resolv.conf", "termination-log"};
    buf_add_cstr(b, "'Mounts':[");
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        buf_add_format(b, "%s{'destination':'%s','type_':'%s','source':'%s','options':[%s]}",
                       comma((int)i), plain[i][0], plain[i][1], plain[i][1], plain[i][2]);
    for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
        buf_add_format(b, ",{'destination':'/etc/%s','type_':'bind','source':'", bound[i]);
        if (wanted)
            buf_add_format(b, "$(sfprefix)%s$", bound[i]);
        else
            buf_add_format(b, "/run/kata-containers/shared/containers/%064d-0123456789abcdef-%s", 5,
                           bound[i]);
        buf_add_cstr(b, "','options':['rbind','rprivate','rw']}");
    }
    buf_add_cstr(b, "]");
}

static void kata_storages(struct buf *b, bool wanted)
{
    buf_add_cstr(b, "[");
    for (int i = 0; i < 3; i++) {
        buf_add_format(b,
                       "%s{'driver':'overlayfs','driver_options':[],'fstype':'fuse3.kata-overlay',"
                       "'options':['layer=%d','root_hash=%064d','readonly'],'mount_point':'",
                       comma(i), i, i);
        if (wanted)
            buf_add_format(b, "^/run/kata-containers/$(bundle-id)/layer-%d$", i);
        else
            buf_add_format(b, "/run/kata-containers/%064d/layer-%d", 5, i);
        buf_add_cstr(b, "'}");
    }
    buf_add_cstr(b, "]");
}

static void kata_oci(struct buf *b, int container, bool wanted)
{
    buf_add_format(b,
                   "'OCI':{'Version':'1.1.0','Root':{'Readonly':true},'Annotations':{"
                   "'io.kubernetes.cri.container-name':'c%d',"
                   "'io.kubernetes.cri.container-type':'container',"
                   "'io.kubernetes.cri.image-name':'registry.example/app/c%d:1.0',"
                   "'io.kubernetes.cri.sandbox-namespace':'default',"
                   "'io.katacontainers.pkg.oci.container_type':'pod_container'",
                   container, container);
    if (!wanted)
        buf_add_format(b,
                       ",'io.kata.bundle':'/run/containerd/io.containerd.runtime.v2.task/k8s.io/"
                       "%064d','io.kubernetes.cri.sandbox-id':'%064d',"
                       "'io.kubernetes.cri.sandbox-name':'web-0',"
                       "'io.kubernetes.cri.sandbox-uid':'b5b2'",
                       5, 6);
    buf_add_cstr(b, "},");
    kata_process(b, container, wanted);
    buf_add_cstr(b, ",");
    kata_mounts(b, wanted);
    buf_add_cstr(b, ",'Linux':{'Namespaces':[{'Type':'ipc','Path':''},{'Type':'uts','Path':''},"
                    "{'Type':'mount','Path':''}],'MaskedPaths':['/proc/acpi','/proc/kcore',"
                    "'/proc/keys','/proc/latency_stats','/proc/timer_list','/sys/firmware'],"
                    "'ReadonlyPaths':['/proc/asound','/proc/bus','/proc/fs','/proc/irq',"
                    "'/proc/sys','/proc/sysrq-trigger'],'Sysctl':{}}}");
}

static void add_kata(struct maker *m)
{
    struct buf policy = text();
    buf_add(&policy, module(m, "kata"));
    struct buf b = text();
    buf_add_format(&b,
                   "\npolicy_data := {'common':{'sfprefix':"
                   "'^/run/kata-containers/shared/containers/$(bundle-id)-[a-z0-9]{16}-',"
                   "'default_caps':[%s]},'containers':[",
                   kata_caps);
    for (int i = 0; i < CONTAINERS; i++) {
        buf_add_format(&b, "%s{'sandbox_name':'^web-[0-9]+$',", comma(i));
        kata_oci(&b, i, true);
        buf_add_cstr(&b, ",'storages':");
        kata_storages(&b, true);
        buf_add_cstr(&b, "}");
    }
    buf_add_cstr(&b, "]}");
    add_lines(&policy, &b);
    struct buf input = text();
    buf_add_cstr(&input, "{'string_user':null,'shared_mounts':[],");
    kata_oci(&input, CONTAINERS - 1, false);
    buf_add_cstr(&input, ",'storages':");
    kata_storages(&input, false);
    buf_add_cstr(&input, "}");
    add(m, (struct rego_work){
               .name = "Kata CreateContainer",
               .policy = done(m, &policy),
               .path = STR("data.agent_policy.CreateContainerRequest"),
               .input = done(m, &input),
               .want = STR("true"),
           });
}

static void aci_container(struct buf *b, int container)
{
    buf_add_format(b,
                   "{'command':['/bin/worker','--shard','%d'],'working_dir':'/srv',"
                   "'allow_elevated':false,'no_new_privileges':true,"
                   "'seccomp_profile_sha256':'','allow_stdio_access':true,"
                   "'layers':['%064d','%064d','%064d'],"
                   "'capabilities':{'bounding':[%s],'effective':[%s],'inheritable':[],"
                   "'permitted':[%s],'ambient':[]},"
                   "'user':{'umask':'0022','user_idname':{'pattern':'worker','strategy':'name'},"
                   "'group_idnames':[{'pattern':'','strategy':'any'}]},'env_rules':[",
                   container % 4, container, container + 1, container + 2, kata_caps, kata_caps,
                   kata_caps);
    for (int i = 0; i < VARIABLES; i++)
        buf_add_format(b, "%s{'pattern':'NAME_%d=%d','strategy':'string','required':%s}", comma(i),
                       i, i, i < 3 ? "true" : "false");
    buf_add_cstr(b, ",{'pattern':'TERM=xterm','strategy':'string','required':false},"
                    "{'pattern':'(?i)(FABRIC)_.+=.+','strategy':'re2','required':false},"
                    "{'pattern':'HOSTNAME=.+','strategy':'re2','required':false},"
                    "{'pattern':'T(E)?MP=.+','strategy':'re2','required':false},"
                    "{'pattern':'IDENTITY_.+=.+','strategy':'re2','required':false}],"
                    "'mounts':[{'destination':'/data','type':'bind',"
                    "'source':'sandbox:///tmp/atlas/resources/data','options':['rbind','rshared']},"
                    "{'destination':'/etc/resolv.conf','type':'bind',"
                    "'source':'sandbox:///tmp/atlas/resolv/.+','options':['rbind','rshared','rw']}"
                    "]}");
}

static void add_aci(struct maker *m)
{
    struct buf policy = text();
    buf_add(&policy, module(m, "aci"));
    struct buf b = text();
    buf_add_cstr(&b, "\ngroup := {'default_mounts':[{'destination':'/etc/hosts','type':'bind',"
                     "'source':'sandbox:///hosts','options':['rbind','rshared','ro']}],"
                     "'containers':[");
    for (int i = 0; i < CONTAINERS; i++) {
        buf_add_cstr(&b, comma(i));
        aci_container(&b, i);
    }
    buf_add_cstr(&b, "]}");
    add_lines(&policy, &b);
    struct buf data = text();
    buf_add_cstr(&data, "{'metadata':{'sandbox_prefix':'/run/gcs/c/abc/sandboxMounts',"
                        "'huge_prefix':'/run/gcs/c/abc/hugepages','started':{},'overlays':{},"
                        "'devices':{},'matches':{'c9':[");
    for (int i = 0; i < CONTAINERS; i++) {
        buf_add_cstr(&data, comma(i));
        aci_container(&data, i);
    }
    buf_add_cstr(&data, "]}}}");
    struct buf input = text();
    buf_add_format(&input,
                   "{'containerID':'c9','argList':['/bin/worker','--shard','1'],"
                   "'workingDir':'/srv','privileged':false,'noNewPrivileges':true,"
                   "'seccompProfileSHA256':'','umask':'0022','user':{'id':'1000','name':'worker'},"
                   "'groups':[{'id':'1000','name':'worker'},{'id':'10','name':'wheel'}],"
                   "'capabilities':{'bounding':[%s],'effective':[%s],'inheritable':[],"
                   "'permitted':[%s],'ambient':[]},'mounts':[{'destination':'/data','type':'bind',"
                   "'source':'/run/gcs/c/abc/sandboxMounts/tmp/atlas/resources/data',"
                   "'options':['rbind','rshared']},{'destination':'/etc/resolv.conf',"
                   "'type':'bind','source':'/run/gcs/c/abc/sandboxMounts/tmp/atlas/resolv/7',"
                   "'options':['rbind','rshared','rw']},{'destination':'/etc/hosts','type':'bind',"
                   "'source':'/run/gcs/c/abc/sandboxMounts/hosts',"
                   "'options':['rbind','rshared','ro']}],'envList':['TERM=xterm',"
                   "'HOSTNAME=node-1','TMP=/tmp','IDENTITY_API=1'",
                   kata_caps, kata_caps, kata_caps);
    for (int i = 0; i < VARIABLES; i++)
        buf_add_format(&input, ",'NAME_%d=%d'", i, i);
    buf_add_cstr(&input, "]}");
    add(m, (struct rego_work){
               .name = "ACI create_container",
               .policy = done(m, &policy),
               .path = STR("data.policy.create_container"),
               .input = done(m, &input),
               .data = done(m, &data),
           });
}

const struct rego_work *rego_work_make(struct arena *a, const char *dir, const struct privkey *key,
                                       size_t *n)
{
    struct maker m = {a, dir, arena_new_array(a, struct rego_work, ROWS_MAX), 0};
    MUST(m.rows != NULL);
    add_attestation(&m);
    add_resource(&m);
    add_defaults(&m);
    add_rbac(&m);
    add_bindings(&m);
    add_rules(&m);
    add_kata(&m);
    add_aci(&m);
    add_membership(&m);
    add_regexes(&m);
    add_jwt(&m, key);
    *n = m.n;
    return m.rows;
}
