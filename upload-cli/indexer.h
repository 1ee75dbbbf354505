/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tools' way to unhex-indexer, which lies beside the running program: ELF is parsed there, sandboxed,
 * never here.
 */
#ifndef UPLOAD_CLI_INDEXER_H
#define UPLOAD_CLI_INDEXER_H

#include "base/build_id.h"
#include "base/err.h"
#include "base/json.h"
#include "symbolizer/uhx_reader.h"

/* Where distributions put debug files; NULL-terminated. */
extern char *const indexer_usual_debug_dirs[];

/* The probe report (an object; json_decref). ERR_NOT_ELF, ERR_BAD_ELF, … with the path in the message. */
int indexer_probe(const char *elf, json_t **ret, struct err *e) MUST_CHECK;
/* All IDs of a report, in its order. *ret is released with free(). */
int indexer_report_ids(const json_t *report, struct build_id **ret, size_t *ret_n, struct err *e) MUST_CHECK;

/* Indexes elf (debug_elf and debug_dirs may be NULL) into an unlinked temporary file and opens it. */
int indexer_index(const char *elf, const char *debug_elf, char *const *debug_dirs, struct uhx **ret,
		  struct err *e) MUST_CHECK;
/* Writes the debug-only copy; `out` appears whole or not at all (base/output.h). */
int indexer_extract(const char *elf, const char *out, struct err *e) MUST_CHECK;

#endif
