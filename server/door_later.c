/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the interface that this version does not have yet: told so, rather than "no such path". */
#include "server/doors.h"

int door_uploads(UNUSED struct request *rq, struct err *e)
{
	return err_set(e, ERR_NOT_IMPLEMENTED,
		       "resumable uploads are not built yet; send the whole file with "
		       "PUT /v1/debuginfo/ID");
}

// Its clients take 404 for "nothing matches".
int door_metadata(UNUSED struct request *rq, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "metadata queries are not built yet");
}
