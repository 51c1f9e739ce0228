/* net_mpi_error.h: MPI's return codes turned into ours. Every communicator and window here has MPI_ERRORS_RETURN. */
#ifndef MRAY_NET_NET_MPI_ERROR_H
#define MRAY_NET_NET_MPI_ERROR_H

#include <mpi.h>
#include <stdbool.h>

/* MRAY_OK for MPI_SUCCESS; else MRAY_ERR_MPI with the sentence "<call> failed: <MPI's text>". */
int net_mpi_error(int rc, const char *call);

/* MPI_Testsome over n requests (inactive ones are MPI_REQUEST_NULL) whose failures are told apart: returns how many completed,
 * in indices and statuses, each with statuses[i].MPI_ERROR valid. A failure of the call as a whole is logged and counts as none. */
int net_mpi_testsome(int n, MPI_Request *requests, int *indices, MPI_Status *statuses);

/* The same for one request by MPI_Test, which looks again after it has polled, as MPI_Testsome does not. */
bool net_mpi_test(MPI_Request *request, MPI_Status *status);

#endif
