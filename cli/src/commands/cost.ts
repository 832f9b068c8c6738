/** `skep cost`: what a spec costs on AWS, from the price table that ships with the command line. */
import { Command } from 'commander';
import { absolutePath, parseSize, parseTimeToLive } from '../arguments.ts';
import { costOf } from '../aws/cost.ts';
import { costLines } from '../aws/cost-table.ts';
import { deploymentSize } from '../aws/deployment-size.ts';
import { priceRegion, type RegionFlags, withRegionOption } from '../aws/flags.ts';
import { priceTable } from '../aws/price-table.ts';
import type { Perform } from '../context.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { readSpec } from '../spec-file.ts';

interface CostFlags extends RegionFlags {
  readonly ttl?: number;
  readonly controlInstanceType?: string;
  readonly content?: number;
  readonly loadBalancer?: boolean;
}

export function costCommand(perform: Perform): Command {
  return withRegionOption(new Command('cost'))
    .description('Say what a cluster costs on AWS: an hour, a day, and until its time to live')
    .argument('[spec]', 'YAML file that says what the cluster should be', absolutePath)
    .option('--ttl <time>', 'time to live, as in 30m, 8h or 2d (default: 8h)', parseTimeToLive)
    .option('--control-instance-type <type>', 'of the control API')
    .option('--content <size>', 'what every peer fetches once, as in 4G: part of it crosses zones', parseSize)
    .option('--load-balancer', 'with a load balancer in front of the control API')
    .addHelpText('after', `\nEstimates from a table with a date: nothing is asked of AWS.\n${exitCodeHelp}`)
    .action((specPath: string | undefined, flags: CostFlags) =>
      perform(flags, async (context) => {
        const spec = await readSpec(context.host, specPath, {});
        const size = deploymentSize(spec, {
          region: priceRegion(context, flags),
          hours: flags.ttl,
          controlInstanceType: flags.controlInstanceType,
          contentBytes: flags.content,
          loadBalancer: flags.loadBalancer,
        });
        const cost = costOf(priceTable, size);
        const { compiled, source, currency } = priceTable;
        context.output.result({ region: size.region, currency, prices: { compiled, source }, ...cost });
        context.output.line(`${spec.name} in ${size.region}`);
        for (const line of costLines(cost, priceTable)) context.output.line(line);
        return undefined;
      }),
    );
}
