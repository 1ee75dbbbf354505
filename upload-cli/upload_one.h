/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploading one file: probe, decide what it is and under which ID it goes, ask whether the server has it
 * already, send it as zstd, read the answer.
 */
#ifndef UPLOAD_CLI_UPLOAD_ONE_H
#define UPLOAD_CLI_UPLOAD_ONE_H

#include "base/build_id.h"
#include "upload-cli/command.h"

struct upload_options {
	const char *type;     /* NULL: by what the file is */
	const char *deployed; /* --for: the file as deployed, whose IDs are joined to it */
	uint64_t wait_s;      /* 0: do not wait for the index */
	bool dry_run;
	bool force;
	bool from_folder;     /* nobody named this file: objects that the server refuses are left out */
};

enum upload_outcome {
	UPLOAD_SENT,
	UPLOAD_ALREADY,  /* the server has these bytes */
	UPLOAD_WOULD,    /* --dry-run */
	UPLOAD_NOT_BETTER, /* the server has other bytes, and these are no better */
	UPLOAD_LEFT_OUT, /* from_folder: a relocatable object without build-ID, which nobody runs */
};

struct upload_result {
	enum upload_outcome outcome;
	char build_id[BUILD_ID_TEXT];
	char type[16];
	char quality[16];
	uint64_t size;      /* identity bytes */
	uint64_t sent;      /* bytes on the wire */
	char status[32];    /* the index's, where it was waited for */
};

/* -1: the file or the server refused; *e says why. */
int upload_one(struct remote *remote, const char *path, const struct upload_options *o,
	       struct upload_result *ret, struct err *e) MUST_CHECK;
const char *upload_outcome_name(enum upload_outcome o);

#endif
