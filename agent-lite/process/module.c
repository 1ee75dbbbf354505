/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/module.h"

#include "base/mem.h"

struct module *module_new(const char *filename, const struct elf_ident *ident)
{
	struct module *m = mem_zalloc(sizeof(*m));

	if (!m)
		return NULL;
	m->refs = 1;
	m->filename = mem_strdup(filename);
	if (!m->filename) {
		free(m);
		return NULL;
	}
	if (ident) {
		m->ident = *ident;
		m->has_ident = true;
		build_id_text(&ident->id, m->build_id);
	}
	return m;
}

struct module *module_ref(struct module *m)
{
	m->refs++;
	return m;
}

struct module *module_unref(struct module *m)
{
	if (m && --m->refs == 0) {
		if (m->unwind.release)
			m->unwind.release(m->unwind.ctx, m);
		free(m->filename);
		free(m);
	}
	return NULL;
}

uint64_t module_address(const struct module *m, const struct mapping *mapping, uint64_t address)
{
	uint64_t offset = address - mapping->start + mapping->offset;
	uint64_t vaddr;

	if (m->has_ident && elf_offset_to_vaddr(&m->ident, offset, &vaddr))
		return vaddr;
	return mapping->kind == MAPPING_FILE ? offset : address;
}

size_t module_frames(const struct mappings *mappings, struct module *unknown,
		     const uint64_t *addresses, size_t n, bool cut, struct frame *ret)
{
	for (size_t i = 0; i < n; i++) {
		const struct mapping *m = mappings_find(mappings, addresses[i]);

		if (m)
			ret[i] = (struct frame){
				.module = m->module,
				.address = module_address(m->module, m, addresses[i])};
		else if (i > 0 && cut)
			return i;
		else
			ret[i] = (struct frame){.module = unknown, .address = addresses[i]};
	}
	return n;
}

void module_release_mappings(struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++)
		m->items[i].module = module_unref(m->items[i].module);
	mappings_deinit(m);
}
