/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a driver says of its GPU and vGPUs, and may say in words of its own. */

#include "util/text.h"
#include "worker/protocol-frame.h"

static void put_fact(WireWriter *w, const Fact *fact) {
        wire_put_string(w, fact->key);
        wire_put_u32(w, (uint32_t)fact->kind);
        switch (fact->kind) {
        case FACT_BOOL:
                wire_put_u8(w, fact->number != 0);
                break;
        case FACT_U32:
                wire_put_u32(w, (uint32_t)fact->number);
                break;
        case FACT_U64:
                wire_put_u64(w, fact->number);
                break;
        default:
                wire_put_string(w, fact->text);
                break;
        }
}

static void put_facts(WireWriter *w, const Facts *facts) {
        wire_put_u32(w, (uint32_t)facts->n);
        for (size_t i = 0; i < facts->n; i++)
                put_fact(w, &facts->items[i]);
}

static int get_fact(WireReader *r, Facts *facts) {
        char text[FACT_TEXT_SIZE] = "", key[FACT_KEY_SIZE];
        uint64_t number = 0;
        FactKind kind;
        int k;

        wire_get_string(r, key, sizeof(key));
        kind = (FactKind)wire_get_enum(r, FACT_KIND_MAX);
        switch (kind) {
        case FACT_BOOL:
                number = wire_get_bool(r);
                break;
        case FACT_U32:
                number = wire_get_u32(r);
                break;
        case FACT_U64:
                number = wire_get_u64(r);
                break;
        default:
                wire_get_string(r, text, sizeof(text));
                break;
        }
        if (r->bad)
                return 0;

        /* Each is said once. */
        k = facts_find(facts, key) ? -EINVAL : facts_add(facts, key, kind, number, text);
        if (k == -EINVAL || k == -E2BIG)
                r->bad = true;
        return k == -ENOMEM ? k : 0;
}

static int get_facts(WireReader *r, Facts *facts) {
        size_t n = wire_get_count(r, FACTS_MAX);

        for (size_t i = 0; i < n && !r->bad; i++) {
                int k = get_fact(r, facts);

                if (k < 0)
                        return k;
        }

        return 0;
}

void protocol_put_usage(WireWriter *w, const UsageReport *usage) {
        wire_put_u64(w, usage->framebuffer_total);
        wire_put_u64(w, usage->framebuffer_used);
        put_facts(w, &usage->facts);
        wire_put_u32(w, (uint32_t)usage->n_vgpus);
        for (size_t i = 0; i < usage->n_vgpus; i++) {
                const VGpuUsage *vgpu = &usage->vgpus[i];

                wire_put_string(w, vgpu->uuid);
                wire_put_string(w, vgpu->type_id);
                wire_put_u32(w, (uint32_t)vgpu->pid);
                put_facts(w, &vgpu->facts);
        }
}

static int get_vgpu(WireReader *r, VGpuUsage *vgpu) {
        char uuid[UUID_STRING_SIZE];

        wire_get_string(r, uuid, sizeof(uuid));
        wire_get_string(r, vgpu->type_id, sizeof(vgpu->type_id));
        vgpu->pid = (int32_t)wire_get_u32(r);
        if ((uuid[0] != '\0' && text_parse_uuid(uuid, vgpu->uuid) < 0) ||
            (vgpu->type_id[0] != '\0' && !text_is_name(vgpu->type_id)) || vgpu->pid < 0)
                r->bad = true;
        return get_facts(r, &vgpu->facts);
}

int protocol_get_usage(WireReader *r, UsageReport *usage) {
        size_t n;
        int k;

        usage->framebuffer_total = wire_get_u64(r);
        usage->framebuffer_used = wire_get_u64(r);
        k = get_facts(r, &usage->facts);
        if (k < 0)
                return k;

        n = wire_get_count(r, REPORT_VGPUS_MAX);
        for (size_t i = 0; i < n && !r->bad; i++) {
                VGpuUsage *vgpu = usage_report_add_vgpu(usage);

                k = vgpu ? get_vgpu(r, vgpu) : -ENOMEM;
                if (k < 0)
                        return k;
        }

        return 0;
}
