/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `unhexd token create|list|revoke`: tokens are made where the data lies, with or without a server
 * running.
 */
#ifndef SERVER_TOKEN_COMMAND_H
#define SERVER_TOKEN_COMMAND_H

/* argv[0] is "token". Returns the exit code; talks on stderr, the token alone goes to stdout. */
int token_command(int argc, char **argv);

#endif
