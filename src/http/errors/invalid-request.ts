import { ServiceError } from '../../errors.ts';

/** The error for a faulty request. @param param the field at fault, if there is one */
export const invalidRequest = (param: string | null, message: string): ServiceError =>
  new ServiceError('invalid_request', message, param === null ? {} : { param });
